"""Many renders from one plan: checked as a whole, rendered line by line, resumed."""
