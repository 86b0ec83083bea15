"""The commands of ``python -m bod_keras.data``; each module has a ``main(argv)``."""
