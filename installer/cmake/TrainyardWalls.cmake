# The configure-time wall: no forbidden library in the link closure of our own targets.
