"""Pages of documentation that are written from the product itself: data dictionary, settings, commands, referral forms."""
