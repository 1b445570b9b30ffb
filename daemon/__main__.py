"""`python -m daemon` is `eeg-copilot`."""

from daemon.cli import main

raise SystemExit(main())
