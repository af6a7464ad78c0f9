"""The module's panel: what the user sees and presses. What needs no Qt is in `controllers`."""
