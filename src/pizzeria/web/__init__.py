"""The pizzeria over HTTP: three services, and a token that is cancelled when the client hangs up.

`uvicorn pizzeria.web:app` serves it; `async with serving(order_service(WebPizzeria())) as url:` does in a notebook.
Start reading in `request_token`, then `order_service`.
"""

from pizzeria.web.customer import OnlinePizzeria
from pizzeria.web.far_away import ServiceError
from pizzeria.web.order_service import order_service
from pizzeria.web.request_token import HANG_UP, TIME_LEFT, RequestToken, request_token
from pizzeria.web.server import serving
from pizzeria.web.shop import WebPizzeria

app = order_service(WebPizzeria())

__all__ = [
    "HANG_UP",
    "TIME_LEFT",
    "OnlinePizzeria",
    "RequestToken",
    "ServiceError",
    "WebPizzeria",
    "app",
    "order_service",
    "request_token",
    "serving",
]
