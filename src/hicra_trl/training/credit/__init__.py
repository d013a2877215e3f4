"""Who gets the credit, as pure functions of tensors."""
