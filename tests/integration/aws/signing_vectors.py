"""What botocore makes of requests and regions, one JSON object a line, for signing_test.cc.

signing_vectors.py sign SEED COUNT    random requests with their Authorization headers
signing_vectors.py endpoints          every region's endpoints
"""

import base64
import datetime
import json
import random
import string
import sys

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.endpoint_provider import EndpointProvider
from botocore.loaders import Loader

ODD_PATHS = ["", "/", "/a/b", "//a///b/", "/./a/../b", "/..", "/a%20b", "/a%2Fb/c", "/x=y:z,w;v",
             "/%C3%BC~_.-", "/a+b*c'd(e)", "/$aws/@x!", "/trailing/", "/%25", "/\u00fc/\u6f22"]
TEXT = string.ascii_letters + string.digits + "-_.~"
ODD = TEXT + " %+&=/?#:;,!'()*[]@$\"<>\\^`{|}"


def encoded(choose, length):
    raw = "".join(choose.choice(ODD) for _ in range(length))
    return "".join(c if c in TEXT else f"%{ord(c):02X}" for c in raw)


def path(choose):
    if choose.random() < 0.5:
        return choose.choice(ODD_PATHS)
    return "/" + "/".join(encoded(choose, choose.randrange(0, 8)) for _ in range(choose.randrange(1, 5)))


def query(choose):
    pairs = []
    for _ in range(choose.choice([0, 0, 1, 2, 5])):
        name, value = encoded(choose, choose.randrange(1, 6)), encoded(choose, choose.randrange(0, 6))
        pairs.append(name if choose.random() < 0.1 else f"{name}={value}")
    if pairs and choose.random() < 0.3:
        pairs.append(pairs[0].split("=")[0] + "=again")
    return "&".join(pairs)


def headers(choose):
    fixed = [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", "secretsmanager.GetSecretValue"),
             ("User-Agent", "unsigned"), ("Accept", "*/*"), ("Expect", "100-continue")]
    chosen = [pair for pair in fixed if choose.random() < 0.6]
    for number in range(choose.randrange(0, 4)):
        words = ["".join(choose.choice(TEXT) for _ in range(choose.randrange(1, 5))) for _ in range(3)]
        chosen.append((f"x-Amz-Meta-{choose.choice('ABC')}", "  ".join(words) + " " * choose.randrange(0, 3)))
    choose.shuffle(chosen)
    return chosen


def sign(seed, count):
    choose = random.Random(seed)
    clock = {}
    botocore.auth.get_current_datetime = lambda: clock["now"]
    for _ in range(count):
        host = choose.choice(["secretsmanager.eu-central-1.amazonaws.com", "Example.COM:443", "127.0.0.1:8080",
                              "example.test:80", "[::1]:4566"])
        scheme = choose.choice(["https", "http"])
        url = f"{scheme}://{host}{path(choose)}"
        if text := query(choose):
            url += "?" + text
        body = choose.randbytes(choose.choice([0, 0, 1, 100, 70_000])) if choose.random() < 0.7 else b"{}"
        key = "".join(choose.choice(TEXT) for _ in range(20))
        secret = "".join(choose.choice(TEXT + "+/=") for _ in range(choose.choice([1, 40, 80])))
        token = "".join(choose.choice(TEXT + "+/=") for _ in range(choose.choice([0, 0, 16, 1500])))
        # Whatever clock: far behind, far ahead, at a day's end.
        second = choose.choice([choose.randrange(0, 4_000_000_000), 1_795_564_799, 1_795_564_800])
        clock["now"] = datetime.datetime.fromtimestamp(second, datetime.timezone.utc)
        request = AWSRequest(choose.choice(["GET", "POST", "PUT", "DELETE"]), url, data=body)
        chosen = headers(choose)
        for name, value in chosen:
            request.headers.add_header(name, value)
        region = choose.choice(["eu-central-1", "us-gov-west-1", "cn-north-1"])
        service = choose.choice(["secretsmanager", "ssm", "sts"])
        botocore.auth.SigV4Auth(Credentials(key, secret, token or None), service, region).add_auth(request)
        print(json.dumps({
            "method": request.method, "url": url, "headers": chosen, "body": base64.b64encode(body).decode(),
            "key": key, "secret": secret, "token": token, "second": second, "region": region,
            "service": service, "authorization": request.headers["Authorization"],
            "date": request.headers["X-Amz-Date"],
        }))


def endpoints():
    loader = Loader()
    partitions = loader.load_data("partitions")
    names = [name for part in loader.load_data("endpoints")["partitions"] for name in part["regions"]]
    for service in ("secretsmanager", "ssm", "sts"):
        rules = EndpointProvider(loader.load_service_model(service, "endpoint-rule-set-1"), partitions)
        for region in names:
            for fips in (False, True):
                for dual in (False, True):
                    given = {"Region": region, "UseFIPS": fips, "UseDualStack": dual}
                    if service == "sts":
                        given["UseGlobalEndpoint"] = False
                    print(json.dumps({"service": service, "region": region, "fips": fips, "dual_stack": dual,
                                      "url": rules.resolve_endpoint(**given).url}))


if __name__ == "__main__":
    if sys.argv[1] == "sign":
        sign(int(sys.argv[2]), int(sys.argv[3]))
    else:
        endpoints()
