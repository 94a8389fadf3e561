"""Video jobs: uploads, the job store, worker processes."""
