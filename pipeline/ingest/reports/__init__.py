"""From the bytes of a report to a draft of its referral, each value judged on the way."""
