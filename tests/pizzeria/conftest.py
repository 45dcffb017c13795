import pytest
from fake_shop import Shop

from pizzeria import Order


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def order():
    return Order("Margherita", "12 Main St")
