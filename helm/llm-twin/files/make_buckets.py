"""Makes the buckets that BUCKETS names, comma-separated; those that are there are left alone."""

import os

import boto3

s3 = boto3.client("s3")
there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
for name in os.environ["BUCKETS"].split(","):
    if name not in there:
        s3.create_bucket(Bucket=name)
        print(f"made bucket {name}")
