"""What `eeg-copilot` can be told to do: one module a verb, imported when it is asked for."""
