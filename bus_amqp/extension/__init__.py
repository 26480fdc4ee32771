"""Extensions: built on the front door alone, as any user's would be, and found nowhere else in the package."""
