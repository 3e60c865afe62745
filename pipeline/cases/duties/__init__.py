"""What has to be told to whom: escalation flags, notices to people, the referral to children's services, markers."""
