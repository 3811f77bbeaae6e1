output "files_uri" {
  description = "settings.TWIN_FILES_URI of the chart."
  value       = "s3://${aws_s3_bucket.files.id}"
}

output "image_repository" {
  description = "images.repository of the chart."
  value       = trimsuffix(aws_ecr_repository.images["airflow"].repository_url, "/airflow")
}

output "database_address" {
  description = "Host of the database of Airflow and MLflow; networkPolicy.databases lets them through."
  value       = aws_db_instance.sql.address
}

output "database_password_secret" {
  description = "Entry of Secrets Manager with the database's user and password."
  value       = aws_db_instance.sql.master_user_secret[0].secret_arn
}

output "cluster_name" {
  description = "EKS_CLUSTER of the workflow deploy."
  value       = module.eks.cluster_name
}
