# One role for each service account that reaches the bucket, by EKS Pod Identity. Who takes over a part
# of the platform has that part's folders and no others.

locals {
  bucket = aws_s3_bucket.files.arn

  # Folders that each may read and write; "" is all of the bucket.
  accounts = {
    twin-crawl        = { namespace = var.jobs_namespace, write = ["snapshots", "results"], read = [] }
    twin-fetch        = { namespace = var.jobs_namespace, write = ["bases", "results"], read = [] }
    twin-job          = { namespace = var.jobs_namespace, write = [""], read = [] }
    twin-rollout      = { namespace = var.jobs_namespace, write = [""], read = [] }
    twin-serving      = { namespace = var.platform_namespace, write = [], read = [""] }
    twin-mlflow       = { namespace = var.platform_namespace, write = ["mlflow"], read = [] }
    airflow-scheduler = { namespace = var.platform_namespace, write = ["logs", "results"], read = [] }
    airflow-triggerer = { namespace = var.platform_namespace, write = ["logs", "results"], read = [] }
    airflow-api-server = { namespace = var.platform_namespace, write = [], read = ["logs"] }
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "files" {
  for_each = local.accounts

  statement {
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [local.bucket]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [for folder in concat(each.value.write, each.value.read) : folder == "" ? "*" : "${folder}/*"]
    }
  }
  statement {
    actions   = ["s3:GetObject"]
    resources = [for folder in concat(each.value.write, each.value.read) : folder == "" ? "${local.bucket}/*" : "${local.bucket}/${folder}/*"]
  }
  dynamic "statement" {
    for_each = length(each.value.write) > 0 ? [each.value.write] : []
    content {
      actions   = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
      resources = [for folder in statement.value : folder == "" ? "${local.bucket}/*" : "${local.bucket}/${folder}/*"]
    }
  }
}

resource "aws_iam_role" "account" {
  for_each           = local.accounts
  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "files" {
  for_each = local.accounts
  name     = "files"
  role     = aws_iam_role.account[each.key].id
  policy   = data.aws_iam_policy_document.files[each.key].json
}

resource "aws_eks_pod_identity_association" "account" {
  for_each        = local.accounts
  cluster_name    = module.eks.cluster_name
  namespace       = each.value.namespace
  service_account = each.key
  role_arn        = aws_iam_role.account[each.key].arn
}
