"""Warehouse (MongoDB), index (Qdrant), files (folder or S3), registry (MLflow)."""
