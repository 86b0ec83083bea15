"""The flag that the commands with absl's flags share; each declares it as a key flag of its own."""

from absl import flags

TRACEBACK = flags.DEFINE_bool("traceback", False, "Show the Python traceback of every error.")
