"""Every provider that can carry a message, one file each, imported only when configured."""
