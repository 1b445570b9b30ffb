"""What `eeg-copilot doctor` looks at: one module a part of the machine, each a list of findings."""
