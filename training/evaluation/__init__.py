"""How good a reader is, on people, trials and clips it never saw: protocols, systems, ablations, measures."""
