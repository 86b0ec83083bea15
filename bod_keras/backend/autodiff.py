"""One small face over the automatic differentiation of three backends, on lists of tensors.

Functions are pure: they read variables only through `functional_call`, which replaces variables by tensors.
"""

import contextlib
import functools

import keras
from keras import ops

from bod_keras.errors import UserError

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "jax":
    import jax
elif BACKEND == "torch":
    import torch

    from bod_keras.backend import torch_replicas
else:
    raise ImportError(
        "bod_keras trains on the tensorflow, jax and torch backends of Keras. "
        f"Received: KERAS_BACKEND={BACKEND}. Set it before Python starts."
    )


def functional_call(fn, variables, values):
    """Run ``fn()`` with each variable's value replaced; nothing is assigned for real.

    Args:
        fn: a function without arguments that may read and assign the variables.
        variables: every variable that `fn` touches.
        values: a tensor for each.

    Returns:
        ``(result, new_values)``: what `fn` returned, and each variable's value after it.
    """
    with keras.StatelessScope(state_mapping=list(zip(variables, values))) as scope:
        result = fn()
    new_values = [scope.get_current_value(v) for v in variables]
    return result, new_values


def no_gradient():
    """A context in which PyTorch records nothing; the other backends record only where they are told to."""
    return torch.no_grad() if BACKEND == "torch" else contextlib.nullcontext()


def current_values(variables):
    """The variables' values as tensors, also inside a stateless scope and a traced function."""
    return [ops.convert_to_tensor(v.value) for v in variables]


def value_and_grad(fn, inputs, create_graph=False):
    """Value, auxiliary output and gradient of ``fn(inputs) -> (scalar, auxiliary)``.

    Args:
        fn: a pure function of a list of tensors.
        inputs: list of floating-point tensors.
        create_graph: whether the gradient will be differentiated itself (PyTorch must be told so).

    Returns:
        ``(value, auxiliary, gradients)``; the gradient of an unused input is zero.
    """
    if BACKEND == "jax":
        (value, auxiliary), gradients = jax.value_and_grad(fn, has_aux=True)(list(inputs))
        return value, auxiliary, gradients
    if BACKEND == "tensorflow":
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            value, auxiliary = fn(inputs)
        gradients = tape.gradient(value, inputs, unconnected_gradients="zero")
        return value, auxiliary, gradients
    with torch.enable_grad():
        if not create_graph:
            inputs = _leaves(inputs)
        value, auxiliary = fn(inputs)
        gradients = torch.autograd.grad(value, inputs, create_graph=create_graph, allow_unused=True)
    gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, gradients)]
    if create_graph:
        return value, auxiliary, gradients
    return value.detach(), _detach(auxiliary), gradients


def vjp(fn, inputs):
    """Output of ``fn(inputs) -> (tensor, auxiliary)`` and its pull-back.

    Returns:
        ``(output, auxiliary, pullback)``; ``pullback(cotangent)``, called once, gives the gradients of
        ``sum(output * cotangent)`` with respect to the inputs. `output` is cut from the graph.
    """
    if BACKEND == "jax":
        output, pull, auxiliary = jax.vjp(fn, list(inputs), has_aux=True)
        return output, auxiliary, lambda cotangent: pull(cotangent)[0]
    if BACKEND == "tensorflow":
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            output, auxiliary = fn(inputs)
        return (
            output,
            auxiliary,
            lambda cotangent: tape.gradient(
                output, inputs, output_gradients=cotangent, unconnected_gradients="zero"
            ),
        )
    with torch.enable_grad():
        inputs = _leaves(inputs)
        output, auxiliary = fn(inputs)

    def pullback(cotangent):
        gradients = torch.autograd.grad(output, inputs, grad_outputs=cotangent, allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, gradients)]

    return output.detach(), _detach(auxiliary), pullback


def loop(body, carry, count, after=()):
    """``carry, y = body(carry, index)`` for each index below `count`, strictly one after the other.

    So that the memory of one turn is free before the next one begins, compiled or not.

    Args:
        body: a pure function; `y` is a tensor or None. On JAX the index is a tensor.
        carry: a nested structure of tensors, whose shapes stay.
        count: number of turns.
        after: tensors that must have been computed before the first turn begins.

    Returns:
        ``(carry, ys)``, the y of all turns stacked.
    """
    if BACKEND == "jax":
        # A loop of XLA's: of the same code written twice it would compute only one, and keep the results.
        return jax.lax.scan(body, carry, jax.numpy.arange(count))
    ys, done = [], list(after)
    for index in range(count):
        # A graph of TensorFlow would run all turns at once.
        with tf.control_dependencies(done) if BACKEND == "tensorflow" else contextlib.nullcontext():
            carry, y = body(carry, index)
        ys.append(y)
        done = keras.tree.flatten((carry, y)) if y is not None else keras.tree.flatten(carry)
    return carry, None if ys[0] is None else ops.stack(ys)


def check(condition, message, value):
    """Raise an error with the message and the value where a tensor of TensorFlow's is false."""
    tf.debugging.Assert(condition, [message, "Received:", value])


def compiled(fn):
    """A pure function of tensors, traced once for each shape of them; on PyTorch the function itself."""
    if BACKEND == "jax":
        return jax.jit(fn)
    return tf.function(fn, autograph=False) if BACKEND == "tensorflow" else fn


def apply_gradients(optimizer, gradients, variables):
    """One step of a Keras optimizer, including `LossScaleOptimizer`; variables as it was built with."""
    if BACKEND == "jax":
        # The stateless form is the one that `LossScaleOptimizer` supports inside a compiled step.
        new_values, new_state = optimizer.stateless_apply(
            current_values(optimizer.variables), gradients, current_values(variables)
        )
        assign(variables, new_values)
        assign(optimizer.variables, new_state)
    elif BACKEND == "torch":
        with torch.no_grad():
            # As Keras' optimizers do by themselves on TensorFlow.
            optimizer.apply(sum_over_replicas(gradients), variables)
    else:
        optimizer.apply(gradients, variables)


def assign(variables, values):
    """Assign each variable its value."""
    for variable, value in zip(variables, values):
        variable.assign(value)


def replicas():
    """Over how many replicas the current step goes: those of a `tf.distribute` strategy, PyTorch's processes.

    On JAX it is always 1: there a step is written for the joint batch, and XLA divides the work.
    """
    if BACKEND == "tensorflow":
        return tf.distribute.get_strategy().num_replicas_in_sync
    return torch_replicas.replicas() if BACKEND == "torch" else 1


def _is_replica():
    """Whether this code is run by one of several replicas, and not for all of them together."""
    if BACKEND == "tensorflow":
        return replicas() > 1 and tf.distribute.get_replica_context() is not None
    return replicas() > 1


def _rank():
    """Which of the replicas runs this code; a tensor on TensorFlow."""
    if BACKEND == "tensorflow":
        return tf.distribute.get_replica_context().replica_id_in_sync_group
    return torch_replicas.rank()


def gather(x):
    """The rows of all replicas, in the same order on each; differentiable. `x` itself outside of a replica."""
    if not _is_replica():
        return x
    if BACKEND == "torch":
        return torch_replicas.gather(x)
    x = tf.identity(x)  # on the replica's device, which what comes from the data does not name
    rows = tf.distribute.get_replica_context().all_gather(x, axis=0)
    rows.set_shape([None, *x.shape[1:]])  # unknown while tracing
    return rows


def own_rows(x):
    """The rows that `gather` would have put into `x` from this replica. `x` itself outside of a replica."""
    if not _is_replica():
        return x
    count = ops.shape(x)[0] // replicas()
    return x[_rank() * count : (_rank() + 1) * count]


def next_rows(x):
    """For each row of the joint batch the one that follows it; for the last the first."""
    if not _is_replica():
        return ops.roll(x, -1, axis=0)
    first = gather(x[:1])
    following = (_rank() + 1) % replicas()
    return ops.concatenate([x[1:], first[following : following + 1]], axis=0)


def sum_over_replicas(tensors):
    """The sums of equally shaped tensors; differentiable. The tensors themselves outside of a replica."""
    if not tensors or not _is_replica():
        return tensors
    if BACKEND == "torch":
        return torch_replicas.sum_over_replicas(tensors)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def share(loss):
    """A loss that a `keras.losses.Loss` reduced, as this replica's share of the joint one.

    On TensorFlow Keras has divided it by the number of replicas, on the other backends it does not.
    """
    return loss / replicas() if BACKEND == "torch" and replicas() > 1 else loss


def mean_over_replicas(x):
    """As `sum_over_replicas`, of one tensor, divided by their number."""
    if not _is_replica():
        return x
    return sum_over_replicas([x])[0] / replicas()


def moments(x, axes):
    """Mean, with the axes kept, and variance over all replicas; they can be differentiated twice."""
    mean = mean_over_replicas(ops.mean(x, axis=axes, keepdims=True))
    return mean, mean_over_replicas(ops.mean(ops.square(x - mean), axis=axes))


@contextlib.contextmanager
def synchronized(layers):
    """Within a replica: Keras' batch normalizations among the layers take their statistics over all replicas.

    Not once for all by ``synchronized=True``: a model saved with it does not load on another backend. Replicas
    take turns in one process and leave at different times, hence the count in the place of a flag.
    """
    norms = [v for v in layers if isinstance(v, keras.layers.BatchNormalization)]
    norms = norms if _is_replica() else []
    for norm in norms:
        norm.synchronized += 1
        if BACKEND == "torch":  # where Keras cannot do it
            object.__setattr__(norm, "_moments", functools.partial(_moments_of, norm))
    try:
        yield
    finally:
        for norm in norms:
            norm.synchronized -= 1
            if BACKEND == "torch":
                object.__delattr__(norm, "_moments")


def _moments_of(norm, inputs, mask):
    if mask is not None:
        raise UserError(
            f"{norm.name} has a mask: batch statistics of masked inputs over several processes are not "
            "supported on PyTorch. Train in one process, or without the mask."
        )
    mean, variance = moments(inputs, norm._reduction_axes)
    return ops.squeeze(mean, axis=norm._reduction_axes), variance


def multi_worker_function(step, strategy):
    """What ``fit`` calls with an iterator over batches, where Keras' own would fail; None elsewhere.

    Keras (3.15) averages the logs of several machines along an axis that scalars have not. Those of
    `BiLevelModel` are the joint ones on every replica.
    """
    if BACKEND != "tensorflow" or not isinstance(
        strategy, tf.distribute.MultiWorkerMirroredStrategy
    ):
        return None

    @tf.function(autograph=False)
    def take_step(iterator):
        logs = strategy.run(step, args=(next(iterator),))
        return {name: strategy.experimental_local_results(v)[0] for name, v in logs.items()}

    return take_step


def step_for_backend(learn):
    """Make Keras' ``train_step`` or ``test_step`` of ``learn(model, data) -> logs``.

    TensorFlow and PyTorch call it as ``step(data)``; JAX as ``step(state, data) -> (logs, state)``.
    """
    if BACKEND == "tensorflow":
        return learn
    if BACKEND == "torch":
        return torch_replicas.step()(learn)

    def step(model, state, data):
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )[: len(state)]
        if len(state) == 3:  # a test step has no optimizer state
            groups = (groups[0], groups[1], model.metrics_variables)
        variables = [v for group in groups for v in group]
        values = [x for group in state for x in group]
        logs, new_values = functional_call(lambda: learn(model, data), variables, values)
        new_values = iter(new_values)
        return logs, tuple([next(new_values) for _ in group] for group in groups)

    return step


def _leaves(tensors):
    return [t.detach().requires_grad_() for t in tensors]


def _detach(structure):
    return keras.tree.map_structure(
        lambda t: t.detach() if isinstance(t, torch.Tensor) else t, structure
    )
