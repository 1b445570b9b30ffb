"""Everything that `eeg-copilot demo` needs beyond the daemon: a broker, a headset, a subscriber, a screen."""
