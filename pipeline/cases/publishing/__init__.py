"""The publish stage: new assessments and links into the case store, in one transaction."""
