"""One Accelerate trainer for every stage of every strategy."""
