"""Clips of bodies that MuJoCo moves and renders: what is shown is the body, how it moves is a law of motion."""

import itertools
import os

import numpy as np

from bod_keras.data.synthetic.sprites import draw_texture

LAWS = ("bounce", "projectile", "pendulum", "fast spin", "slow spin", "friction", "spring", "orbit")
# Geoms of a body, whose outlines differ however it is turned in the plane of the picture.
SHAPES = {
    "square": ('type="box" size=".42 .42 .42"',),
    "pill": ('type="capsule" size=".3" fromto="0 0 -.32 0 0 .32"',),
    "cross": tuple(f'type="capsule" size=".13" fromto="-.5 0 {z} .5 0 {-z}"' for z in (-0.5, 0.5)),
    "dumbbell": tuple(f'type="sphere" size=".3" pos="0 0 {z}"' for z in (-0.45, 0.45)),
    "triangle": tuple(
        f'type="sphere" size=".27" pos="{x} 0 {z}"'
        for x, z in ((0, 0.4), (-0.4, -0.3), (0.4, -0.3))
    ),
}
# Least and greatest red, green and blue.
TEXTURES = {
    "checker": ((0.3, 0.5, 0.9), (0.6, 0.9, 1.0)),
    "gradient": ((0.9, 0.5, 0.3), (1.0, 0.9, 0.6)),
}
BODIES = tuple(itertools.product(SHAPES, TEXTURES))
_FRAME, _STEP = 0.12, 0.002  # seconds
_ARM, _FLOOR = 0.8, -0.65
_LOCKED = 1e6  # inertia of a joint that a law does not use
_SWING, _X, _Z, _SPIN = range(4)
_JOINTS = {  # that a law uses; of the others the spin
    "bounce": [_Z],
    "projectile": [_X, _Z],
    "pendulum": [_SWING],
    "friction": [_X],
    "spring": [_Z],
    "orbit": [_X, _Z],
}
_GRAY, _TEXTURE = 0.25, 0.2  # what the photo behind fades to, and its contrast


def _xml():
    textures = "".join(
        f'<texture name="{name}" type="2d" builtin="{name}" width="64" height="64" rgb1="1 1 1"'
        f' rgb2=".25 .25 .25"/><material name="{name}" texture="{name}" texrepeat="1 1"/>'
        for name in TEXTURES
    )
    geoms = "".join(
        f'<geom {geom} material="{texture}" contype="0" conaffinity="0" mass="1"/>'
        for shape, texture in BODIES
        for geom in SHAPES[shape]
    )
    # The arm is locked when MuJoCo estimates the weights that scale friction and limits: so light, it would
    # yield instead. The floor is a limit of the height, stiff and with little damping.
    limit = f'limited="true" range="{_FLOOR} 9" solreflimit="-10000 -5"'
    return f"""<mujoco><option timestep="{_STEP}" integrator="implicitfast"/>
    <visual><quality shadowsize="0" offsamples="0"/>
    <headlight ambient=".4 .4 .4" diffuse=".6 .6 .6"/></visual>
    <asset>{textures}</asset>
    <worldbody><camera name="eye" pos="0 -3 0" xyaxes="1 0 0 0 0 1" fovy="40"/>
    <body pos="0 0 {_ARM}"><joint type="hinge" axis="0 1 0" armature="{_LOCKED}"/>
    <inertial pos="0 0 0" mass=".001" diaginertia=".001 .001 .001"/>
    <body pos="0 0 -{_ARM}"><joint type="slide" axis="1 0 0" frictionloss="1"/>
    <joint type="slide" axis="0 0 1" {limit}/>
    <joint type="hinge" axis="0 1 0"/>{geoms}</body></body></worldbody></mujoco>"""


class PhysicsScenes:
    """Draws clips of one body under one law; a context manager, since it holds an offscreen window.

    Args:
        frames: of a clip, 0.12 s apart.
        size: height and width in pixels.

    Raises:
        ImportError: if MuJoCo is missing.
    """

    def __init__(self, frames, size):
        os.environ.setdefault("MUJOCO_GL", "egl")
        try:
            import mujoco
        except ImportError as error:
            raise ImportError(
                'The regime "mujoco" needs MuJoCo: pip install -r requirements-physics.txt'
            ) from error
        self.mujoco, self.frames, self.size = mujoco, frames, size
        self.model = mujoco.MjModel.from_xml_string(_xml())
        self.data = mujoco.MjData(self.model)
        self.renderer = mujoco.Renderer(self.model, size, size)
        sizes = [len(SHAPES[shape]) for shape, _ in BODIES]
        self._body_of_geom = np.repeat(np.arange(len(BODIES)), sizes)
        self._masses = float(self.model.body_mass[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.renderer.close()

    def video(self, body, law, images, rng):
        """A function that draws one clip of a video after the other.

        They share body, law, color and backdrop; initial state, camera and light are drawn for each.

        Args:
            body: index into `BODIES`.
            law: index into `LAWS`.
            images: "train" or "test", of the photos behind.
            rng: NumPy generator.

        Returns:
            A function without arguments; a clip is uint8 (T, size, size, 3), RGB.
        """
        color = rng.uniform(*TEXTURES[BODIES[body][1]])
        backdrop = _GRAY + _TEXTURE * (draw_texture(rng, images, self.size) - _GRAY)
        return lambda: self._clip(body, law, color, backdrop, rng)

    def _clip(self, body, law, color, backdrop, rng):
        model, data = self.model, self.data
        model.geom_rgba[:] = 0.0  # all bodies are there; one is seen
        model.geom_rgba[self._body_of_geom == body] = *color, 1.0
        model.cam_pos[0] = rng.uniform(-0.15, 0.15), -rng.uniform(2.8, 3.4), rng.uniform(-0.1, 0.1)
        self.start(LAWS[law], rng)
        light = rng.uniform(0.7, 1.0)
        frames = []
        for _ in range(self.frames):
            self.mujoco.mj_forward(model, data)
            frames.append(self._picture(backdrop) * light)
            self.mujoco.mj_step(model, data, nstep=round(_FRAME / _STEP))
        return np.round(255 * np.stack(frames)).astype(np.uint8)

    def _picture(self, backdrop):
        self.renderer.update_scene(self.data, camera="eye")
        picture = self.renderer.render().astype("float32") / 255
        return np.where(picture.any(axis=-1, keepdims=True), picture, backdrop)  # nothing is black

    def start(self, law, rng):
        """Set the joints' constants and the initial state of a law."""
        model, data = self.model, self.data
        self.mujoco.mj_resetData(model, data)
        model.opt.gravity[:] = 0.0
        model.dof_armature[:] = _LOCKED
        model.dof_frictionloss[:] = 0.0
        model.jnt_stiffness[:] = 0.0
        side, phase = rng.choice((-1, 1)), rng.uniform(0, 2 * np.pi)
        place, speed = np.zeros(4), np.zeros(4)
        place[[_X, _Z]] = rng.uniform(-0.2, 0.2, 2)
        place[_SPIN] = phase
        used = _JOINTS.get(law, [_SPIN])
        model.dof_armature[used] = 0.0
        if law == "bounce":
            model.opt.gravity[2] = -6.0
            place[_Z], speed[_Z] = rng.uniform(-0.4, 0.7), rng.uniform(-1.5, 1.5)
        elif law == "projectile":
            model.opt.gravity[2] = -5.0
            place[_X], place[_Z] = -side * rng.uniform(0.3, 0.8), rng.uniform(-0.5, -0.1)
            speed[_X], speed[_Z] = side * rng.uniform(1.0, 1.6), rng.uniform(1.4, 2.2)
        elif law == "pendulum":
            model.opt.gravity[2] = -12.0
            place[[_X, _Z]] = 0.0
            swing, rate = rng.uniform(0.5, 0.9), np.sqrt(12.0 / _ARM)
            place[_SWING], speed[_SWING] = swing * np.cos(phase), -swing * rate * np.sin(phase)
        elif law in ("fast spin", "slow spin"):
            low, high = (6.0, 8.0) if law == "fast spin" else (1.5, 2.5)
            speed[_SPIN] = side * rng.uniform(low, high)
        elif law == "friction":
            model.dof_frictionloss[_X] = rng.uniform(2.5, 3.5) * self._masses
            place[_X], speed[_X] = -side * rng.uniform(0.3, 0.7), side * rng.uniform(1.6, 2.4)
        else:
            rate, radius = rng.uniform(7.0, 9.0), rng.uniform(0.3, 0.45)
            model.jnt_stiffness[used] = rate**2 * self._masses
            model.qpos_spring[used] = place[used]
            if law == "orbit":
                place[_X] += radius * np.cos(phase)
                speed[_X] = -side * radius * rate * np.sin(phase)
            place[_Z] += radius * np.sin(phase) * (side if law == "orbit" else 1)
            speed[_Z] = radius * rate * np.cos(phase)
        data.qpos[:], data.qvel[:] = place, speed
