"""Pages of those who look after the product: the audit log, accounts, what the operator sends back."""
