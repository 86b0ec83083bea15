"""The subcommands of `bod-keras`; each module has a ``main(argv, name)``."""
