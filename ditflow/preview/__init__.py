"""What a fit would be guided by, before it is paid for."""
