"""Tables, pictures and plain words made of an evaluation."""
