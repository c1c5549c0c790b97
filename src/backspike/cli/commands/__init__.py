"""The subcommands of `backspike`, one module each: `add(subparsers)` declares, `run(args)` does."""
