"""Usage to money: price plans, rating, invoices, exports, explanations."""
