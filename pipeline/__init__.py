"""The one truth for live and offline work: from samples to labels. Pure and synchronous."""
