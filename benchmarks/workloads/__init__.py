"""What is measured: a file a workload, each of which defines `WORKLOAD`."""
