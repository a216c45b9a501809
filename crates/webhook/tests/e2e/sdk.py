"""What a program in a pod does: it takes the SDK's default credentials. Prints who it then is."""

import json

import boto3

session = boto3.Session()
credentials = session.get_credentials()
frozen = credentials.get_frozen_credentials()
identity = {"method": credentials.method}
if credentials.method == "assume-role-with-web-identity":
    identity["arn"] = session.client("sts").get_caller_identity()["Arn"]
else:
    identity["access_key"] = frozen.access_key
print(json.dumps(identity))
