variable "name" {
  description = "Of the cluster, and the beginning of every other name here."
  type        = string
  default     = "llm-twin"
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"
}

variable "zones" {
  description = "Availability zones: three, so that Qdrant's and MongoDB's replicas lie apart."
  type        = list(string)
  default     = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
}

variable "platform_namespace" {
  description = "Namespace of the chart's release."
  type        = string
  default     = "twin"
}

variable "jobs_namespace" {
  description = "Namespace of the jobs' pods: jobs.namespace of the chart."
  type        = string
  default     = "twin-jobs"
}

variable "database_class" {
  description = "Instance class of the database of Airflow and MLflow."
  type        = string
  default     = "db.t4g.medium"
}

variable "kubernetes_version" {
  description = "Of the control plane and the nodes."
  type        = string
  default     = "1.33"
}
