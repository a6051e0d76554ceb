"""What is recorded while a run goes, for its report."""
