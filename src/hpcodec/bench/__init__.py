"""Our models and their peers on any files, side by side: ``hpcodec bench``."""
