"""What the processes of benchmarks/gpu.py measure, each on the backend and the device that it is given."""

import gc
import json
import os
import signal
import statistics
import time
import traceback

import keras
import numpy as np
from keras import ops

import bod_keras
from benchmarks import gpu
from benchmarks.device import BACKEND, find_device, seconds, versions, wait
from benchmarks.encoder_calls import resident
from benchmarks.multiply_adds import multiply_adds
from bod_keras import training
from bod_keras.backend import autodiff

if BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "jax":
    import jax
else:
    import torch

HIDDEN, WIDTH = 512, 128  # of the head, as the rival's
VIEWS = 2


def measure(job, folder):
    """Print the rows of a job."""
    if job["device"] == "gpu" and find_device()[0] != "GPU":
        raise SystemExit(f"{BACKEND} finds no GPU here; --device=cpu runs without one")
    if job.get("precision") == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    _KINDS[job["kind"]](job, folder)


def tell(name, row):
    print("ROW " + json.dumps([name, row]), flush=True)


def card(job, folder):
    size, count = (256, 2) if job["tiny"] else (8192, 20) if job["device"] == "gpu" else (1024, 3)
    found = {"name": find_device()[1], "versions": versions()}
    for precision in gpu.PRECISIONS:
        a = ops.cast(
            ops.convert_to_tensor(
                np.random.default_rng(0).normal(size=(size, size)).astype("float32")
            ),
            precision,
        )
        if BACKEND == "torch":
            torch.backends.cuda.matmul.allow_tf32 = True
            product = torch.mm
        else:
            product = autodiff.compiled(ops.matmul)

        def block(a=a, product=product):
            for _ in range(count):
                result = product(a, a)
            wait(result)

        block()
        best = min(seconds(block) for _ in range(3)) / count
        found[f"matmul {precision}"] = 2 * size**3 / best / 1e12
    tell("card", found)
    # Operations of one clip's inference: two a multiply-add.
    chosen = {name: networks(job)[name] for name in job["networks"]}
    tell("work", {n: 2 * multiply_adds(make_encoder(x), x.clip) for n, x in chosen.items()})


def networks(job):
    return gpu.TINY_NETWORKS if job["tiny"] else gpu.NETWORKS


def make_encoder(network):
    builder = getattr(bod_keras.encoders, network.builder)
    return builder(input_shape=network.clip, **network.arguments)


def make_model(network, variant, optimizer=None, augmenter=None):
    keras.utils.set_random_seed(0)
    encoder = make_encoder(network)
    decoupling = {
        "plain": None,
        "recommended": True,
        "all": bod_keras.Decoupling(bilevel=bod_keras.BiLevel(scope="all")),
        "fixed views": bod_keras.Decoupling(motion_view=None, static_view=None),
    }[variant]
    if decoupling is not None:
        bod_keras.encoders.repeat_edges(encoder)
    head = bod_keras.ProjectionHead(HIDDEN, WIDTH)
    model = bod_keras.VSimCLR(encoder, decoupling, head, augmenter)
    model.compile(optimizer or keras.optimizers.AdamW(1e-3, weight_decay=1e-4))
    return model


def steps(job, folder):
    network = networks(job)[job["network"]]
    shape = (job["batch"], VIEWS, *network.clip)
    clips = ops.convert_to_tensor(np.random.default_rng(0).random(shape, "float32"))
    for name, variant in zip(job["names"], job["what"]):
        attempt(job, name, lambda v=variant: one_step(job, network, v, clips))


def attempt(job, name, function):
    """Tell what a function measured, or why it could not; nothing if that is known already."""
    if name not in job["wanted"]:
        return
    try:
        row = function()
    except Exception as error:  # out of memory, and what else a GPU can do
        traceback.print_exc()
        row = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    tell(name, row)
    gc.collect()


def one_step(job, network, variant, clips):
    memory = Memory(job["device"])
    count = compilations()
    model = make_model(network, "plain" if variant == "forward" else variant)
    encoded = len(clips) * model.all_views(clips[:1]).shape[1]
    row = {"clips": len(clips) * VIEWS}
    if variant == "forward":
        flat = ops.reshape(clips, (-1, *network.clip))
        step = inference(model.encoder, flat)
        row["encoded"] = encoded
    else:
        step = training_step(model, clips)
        passes = 1 if variant != "all" else 1 + 3 * model.bilevel.inner_steps
        row["encoded"] = 3 * passes * encoded
    row |= timed(step, job["tiny"], count, model)
    row["gib"] = memory.peak()
    if model.split is not None:
        row["split_ms"] = split_ms(model, encoded, job["tiny"])
    return row


def inference(encoder, clips):
    variables = encoder.trainable_variables + encoder.non_trainable_variables

    def forward(values, clips):
        return autodiff.functional_call(lambda: encoder(clips, training=False), variables, values)[
            0
        ]

    forward, values = autodiff.compiled(forward), autodiff.current_values(variables)

    def step():
        with autodiff.no_gradient():
            return forward(values, clips)

    return step


def training_step(model, clips):
    if BACKEND == "torch":  # as `fit` runs it; nothing here asks the device for a number
        return lambda: model.train_step(clips)["loss"]
    return lambda: model.train_on_batch(clips, return_dict=True)["loss"]


def timed(step, tiny, compiled, model):
    """Milliseconds of a step in blocks, the first one's seconds, and what is compiled after the second."""
    first = seconds(lambda: wait(step()))
    again = seconds(lambda: wait(step()))
    before = compiled(model)
    number = 1 if tiny else max(2, min(20, round(1 / again)))
    times = []

    def block():
        for _ in range(number):
            result = step()
        wait(result)

    for _ in range(2 if tiny else 4):
        times.append(seconds(block) / number)
    row = {"ms": 1e3 * statistics.median(times), "first_s": first}
    after = compiled(model)
    return row if after is None else {**row, "again": after - before}


def compilations():
    """A function of the model: how often the backend has compiled since now; None where nothing compiles."""
    if BACKEND == "jax":
        found = []

        def listen(event, duration, **_):
            if event.endswith("backend_compile_duration"):
                found.append(duration)

        jax.monitoring.register_event_duration_secs_listener(listen)
        return lambda model: len(found)
    if BACKEND == "tensorflow":
        return lambda model: getattr(model.train_function, "experimental_get_tracing_count", int)()
    return lambda model: None


def split_ms(model, clips, tiny):
    """Milliseconds for the parts of this number of clips' embeddings, and for their gradient."""
    shape = (clips, *model.projection_head.compute_output_shape(model.encoder.output_shape)[1:])
    embeddings = ops.convert_to_tensor(
        np.random.default_rng(0).normal(size=shape).astype("float32")
    )

    def parts(inputs):
        splits = [model.split.split(z) for z in model.part_embeddings(inputs[0])]
        return ops.sum(ops.square(splits[0].static)) + ops.sum(ops.square(splits[-1].dynamic)), ()

    run = autodiff.compiled(lambda z: autodiff.value_and_grad(parts, [z])[2])
    return timed(lambda: run(embeddings), tiny, lambda model: None, model)["ms"]


class Memory:
    """GiB of the device's memory at its peak since this object was made; on JAX since the process began."""

    def __init__(self, device):
        self.device = device
        if device == "cpu":
            self.before = resident("VmRSS")
        elif BACKEND == "torch":
            torch.cuda.reset_peak_memory_stats()
        elif BACKEND == "tensorflow":
            tf.config.experimental.reset_memory_stats("GPU:0")

    def peak(self):
        if self.device == "cpu":
            return max(0, resident("VmHWM") - self.before) / 2**20
        if BACKEND == "torch":
            return torch.cuda.max_memory_allocated() / 2**30
        if BACKEND == "tensorflow":
            return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30
        return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 2**30


def rival(job, folder):
    compilers = None, "eager" if job["tiny"] else "inductor"
    for name, compiler in zip(job["names"], compilers):
        attempt(job, name, lambda c=compiler: rival_step(job, c))


def rival_step(job, compiler):
    from benchmarks.torch_step import make_step

    network = networks(job)[job["network"]]
    memory = Memory(job["device"])
    device = "cuda" if job["device"] == "gpu" else "cpu"
    step = make_step(network, network.clip, job["batch"], job["precision"], compiler, device)
    clips = VIEWS * job["batch"]
    row = timed(step, job["tiny"], lambda model: None, None)
    return {**row, "clips": clips, "encoded": 3 * clips, "gib": memory.peak()}


# -- right, and resumable ------------------------------------------------------------------------------------


def checks(job, folder):
    part = job.get("part")
    if part == "reference":
        if not (folder / _REFERENCE).exists():
            check(job, folder)
    elif part == "killed":
        _train(_small_model(), [training.Checkpoint(folder / f"run-{BACKEND}"), _Kill()])
        raise SystemExit("the run ended before it was killed")
    else:  # the check last: it changes the arithmetic
        for name, function in zip(job["names"], (loader, resume, check)):
            attempt(job, name, lambda f=function: f(job, folder))


def check(job, folder):
    """A loss and an update by SGD, from the same weights: on the CPU kept, on the device compared."""
    keras.config.set_dtype_policy("float32")
    if BACKEND == "jax":
        jax.config.update("jax_default_matmul_precision", "highest")
    elif BACKEND == "tensorflow":
        tf.config.experimental.enable_tensor_float_32_execution(False)
    else:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if job["tiny"]:
        network = networks(job)["VideoViT"]
    else:
        network = gpu.NETWORKS["R3D18"]._replace(arguments={"width": 16}, clip=(8, 64, 64, 3))
    found = {}
    for variant in ("plain", "fixed views"):
        found |= {f"{variant}: {name}": x for name, x in one_update(network, variant).items()}
    if job.get("part") == "reference":
        np.savez(folder / _REFERENCE, **found)
        return None
    with np.load(folder / _REFERENCE) as reference:
        return {f"{name} off by": _distance(x, reference[name]) for name, x in found.items()}


def one_update(network, variant):
    """The loss, and by how much a step of SGD changed the weights."""
    model = make_model(network, variant, keras.optimizers.SGD(1.0))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        if len(weight.shape) > 1:  # initial draws differ by device
            fan = np.prod(weight.shape[:-1])
            weight.assign(rng.normal(size=weight.shape) * np.sqrt(2 / fan))
    before = [ops.convert_to_numpy(w) + 0 for w in model.trainable_weights]
    clips = rng.random((4, VIEWS, *network.clip), "float32")
    loss = float(model.train_on_batch(clips, return_dict=True)["loss"])
    after = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    update = np.concatenate([(a - b).ravel() for a, b in zip(after, before)])
    return {"loss": np.array(loss), "update": update}


def _distance(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


_REFERENCE = "reference.npz"
_SPAN, _EPOCHS = 3, 4  # steps of an epoch


class _Kill(keras.callbacks.Callback):
    """Kill this process within the third epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if training.steps_taken(self.model) > 2 * _SPAN:
            os.kill(os.getpid(), signal.SIGKILL)


def resume(job, folder):
    """Go on with the run that was killed, and compare it with one that was not."""
    keras.config.set_dtype_policy("float32")
    model, _ = training.load_checkpoint(folder / f"run-{BACKEND}")
    if model is None:
        raise FileNotFoundError("the run that was killed left no checkpoint")
    resumed_at = training.steps_taken(model)
    whole = _small_model()
    found, expected = [], []
    for one, weights in ((model, found), (whole, expected)):
        _train(one, [])
        weights.extend(ops.convert_to_numpy(w).ravel() for w in one.trainable_weights)
    return {
        "steps before the kill": resumed_at,
        "steps in all": training.steps_taken(model),
        "weights off by": _distance(np.concatenate(found), np.concatenate(expected)),
    }


def _small_model():
    keras.utils.set_random_seed(0)
    encoder = bod_keras.encoders.FrameCNN((8, 32, 32, 3))
    model = bod_keras.VSimCLR(encoder, decoupling=True)
    model.compile(keras.optimizers.AdamW(1e-3))
    return model


def _train(model, callbacks, batch=8):
    def stream(position):
        while True:
            rng = np.random.default_rng(position)
            views = rng.random((batch, VIEWS, *model.encoder.input_shape[1:]), "float32")
            yield (
                {"views": views, "position": np.arange(position, position + batch, dtype="int32")},
            )
            position += batch

    training.fit_rest(model, stream, _SPAN, _EPOCHS, callbacks)


def loader(job, folder):
    """Shards of JPEG frames, read by processes, into the recommended step."""
    from bod_keras.data import ClipDataset, array_records, read_catalog, write_shards

    keras.config.set_dtype_policy("mixed_bfloat16")
    network = gpu.TINY_NETWORKS["VideoViT"] if job["tiny"] else gpu.NETWORKS["R3D18"]
    frames, size = network.clip[:2]
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2 * job["batch"], 2 * frames, 8, 8, 3), "uint8")
    side = -(-size * 8 // 7)
    videos = coarse.repeat(-(-side // 8), axis=2).repeat(-(-side // 8), axis=3)
    shards = folder / f"shards-{BACKEND}"
    write_shards(array_records(videos), shards)
    workers = 1 if job["tiny"] else max(1, (os.cpu_count() or 2) - 1)
    data = ClipDataset(
        read_catalog(shards),
        frames=frames,
        size=size,
        stride=1,
        batch_size=job["batch"],
        workers=workers,
        augment="device",
    )
    model = make_model(network, "recommended", augmenter=data.augmenter())
    count, waited = (2, 0.0) if job["tiny"] else (20, 0.0)
    batches = data.training_numpy()
    for _ in range(2):  # it compiles, and the workers start
        model.train_on_batch(next(batches)[0], return_dict=True)
    begin = time.perf_counter()
    for _ in range(count):
        start = time.perf_counter()
        batch = next(batches)[0]
        waited += time.perf_counter() - start
        model.train_on_batch(batch, return_dict=True)
    whole = time.perf_counter() - begin
    batches.close()
    return {
        "workers": workers,
        "clips/s": VIEWS * job["batch"] * count / whole,
        "ms a step": 1e3 * whole / count,
        "waits": f"{waited / whole:.1%}",
    }


_KINDS = {"card": card, "steps": steps, "rival": rival, "checks": checks}
