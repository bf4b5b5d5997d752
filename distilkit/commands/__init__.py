"""What the verbs do: a function a verb, from its options to the text that is printed."""
