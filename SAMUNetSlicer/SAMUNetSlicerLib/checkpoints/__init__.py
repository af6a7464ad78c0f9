"""Which models exist; recognise, verify, load and convert their files, tensors only."""
