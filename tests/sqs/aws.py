"""Calls a moto by AWS's own library, for tests: who they test against must not be who they test.

    aws.py http://127.0.0.1:5000

Makes a user with a key, says the key as a line of JSON, and then answers each line of standard input, such as
{"service": "sqs", "call": "create_queue", "with": {"QueueName": "orders"}}, with a line of JSON.
"""

import json
import sys

import boto3

AT = {"endpoint_url": sys.argv[1], "region_name": "eu-central-1"}
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

# the three calls that moto lets everybody make
iam = boto3.client("iam", aws_access_key_id="nobody", aws_secret_access_key="nothing", **AT)
iam.create_user(UserName="source")
made = iam.create_access_key(UserName="source")["AccessKey"]
iam.put_user_policy(UserName="source", PolicyName="everything", PolicyDocument=json.dumps(EVERYTHING))
key = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
print(json.dumps(key), flush=True)

clients = {}
for line in sys.stdin:
    asked = json.loads(line)
    service = asked["service"]
    if service not in clients:
        clients[service] = boto3.client(service, **key, **AT)
    answer = getattr(clients[service], asked["call"])(**asked["with"])
    answer.pop("ResponseMetadata", None)
    print(json.dumps(answer, default=str), flush=True)
