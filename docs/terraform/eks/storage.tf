# What holds data: the bucket, the images, the database of Airflow and MLflow.

resource "aws_s3_bucket" "files" {
  bucket_prefix = "${var.name}-"
}

resource "aws_s3_bucket_public_access_block" "files" {
  bucket                  = aws_s3_bucket.files.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# Sample sets, models, reports and backups lie here: a deletion by mistake can be taken back.
resource "aws_s3_bucket_versioning" "files" {
  bucket = aws_s3_bucket.files.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "files" {
  bucket = aws_s3_bucket.files.id

  # What a backup leaves that was killed while it was being sent.
  rule {
    id     = "incomplete-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  # A document that was forgotten is gone from here too after so long.
  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }
}

locals {
  images = [
    "airflow", "crawl", "crawl-browser", "features", "mlflow", "serve", "serve-cuda", "serve-vllm",
    "serve-vllm-cuda", "train", "train-cuda", "cache",
  ]
}

resource "aws_ecr_repository" "images" {
  for_each             = toset(local.images)
  name                 = "llm-twin/${each.key}"
  image_tag_mutability = each.key == "cache" ? "MUTABLE" : "IMMUTABLE"
  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_security_group" "database" {
  name_prefix = "${var.name}-database-"
  vpc_id      = module.vpc.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  security_group_id            = aws_security_group.database.id
  referenced_security_group_id = module.eks.node_security_group_id
  from_port                    = 5432
  to_port                      = 5432
  ip_protocol                  = "tcp"
}

# Two databases in it, `airflow` and `mlflow`, are made by hand. The password is RDS's own, in Secrets
# Manager.
resource "aws_db_instance" "sql" {
  identifier_prefix           = "${var.name}-"
  engine                      = "postgres"
  engine_version              = "17"
  instance_class              = var.database_class
  allocated_storage           = 50
  max_allocated_storage       = 200
  storage_encrypted           = true
  multi_az                    = true
  db_name                     = "airflow"
  username                    = "twin"
  manage_master_user_password = true
  db_subnet_group_name        = module.vpc.database_subnet_group_name
  vpc_security_group_ids      = [aws_security_group.database.id]
  backup_retention_period     = 14
  deletion_protection         = true
  final_snapshot_identifier   = "${var.name}-last"
}
