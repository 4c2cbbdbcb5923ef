from flask import Flask

application = Flask(__name__)


@application.route("/")
def hello():
    return "hello from Flask"


if __name__ == "__main__":
    print(application.test_client().get("/").data.decode())
