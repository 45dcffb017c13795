import re

import pytest

from pizzeria import MENU, Ledger, Order, OrderState, Pizzeria
from pizzeria.order import MOVES


@pytest.mark.parametrize(
    ("pizza", "address", "says"),
    [
        ("Hawaii", "12 Main St", "pizza must be one of Margherita, .*not 'Hawaii'"),
        ("", "12 Main St", "pizza must be one of .*not ''"),
        (["Margherita"], "12 Main St", "pizza must be one of .*not .'Margherita'.$"),
        ("Margherita", "", "address must not be empty"),
        ("Margherita", "  \n", "address must not be empty, but is '  "),
        ("Margherita", "x" * 201, "at most 200 characters long, not 201"),
        ("Margherita", "12 Main St \ud800", r"can be written as UTF-8, not '12 Main St \\ud800'"),
    ],
)
def test_an_order_that_cannot_be_delivered_is_refused_with_value_and_range(pizza, address, says):
    with pytest.raises(ValueError, match=says):
        Order(pizza, address)


@pytest.mark.parametrize("address", [None, 12, b"12 Main St"])
def test_an_address_must_be_text(address):
    with pytest.raises(TypeError, match="address must be text, not"):
        Order("Margherita", address)


def test_an_address_of_200_characters_is_taken():
    assert len(Order("Margherita", "x" * 200).address) == 200


def test_two_orders_of_the_same_pizza_to_the_same_address_are_two_orders():
    assert Order("Funghi", "1 A St").id != Order("Funghi", "1 A St").id
    assert Order("Funghi", "1 A St").cents == MENU["Funghi"]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"pace": -1}, ValueError, "pace must be a finite number from 0 up .*not -1"),
        ({"pace": float("nan")}, ValueError, "not nan"),
        ({"pace": float("inf")}, ValueError, "not inf"),
        ({"pace": 10**400}, ValueError, "not 1000"),
        ({"pace": "fast"}, TypeError, "pace must be a number, not 'fast'"),
        ({"pace": True}, TypeError, "not True"),
        ({"ovens": 0}, ValueError, "ovens must be at least 1, not 0"),
        ({"ovens": -3}, ValueError, "not -3"),
        ({"ovens": 1.5}, TypeError, "whole number, not 1.5"),
        ({"ovens": True}, TypeError, "not True"),
        ({"ledger": "money.db"}, TypeError, "ledger must be a Ledger, not 'money.db'"),
        ({"heeds_token": "yes"}, TypeError, "heeds_token must be True or False, not 'yes'"),
        ({"time_provider": None}, TypeError, "time_provider must be a TimeProvider, not None"),
    ],
)
def test_what_makes_no_pizzeria_is_refused_with_value_and_range(arguments, error, says):
    with pytest.raises(error, match=says):
        Pizzeria(**arguments)


def test_the_pace_can_be_changed_but_not_to_nonsense():
    shop = Pizzeria(pace=1, ledger=Ledger())
    shop.pace = 0.5
    with pytest.raises(ValueError, match="not -2"):
        shop.pace = -2
    with pytest.raises(TypeError, match="heeds_token must be True or False, not 1"):
        shop.heeds_token = 1
    assert (shop.pace, shop.heeds_token) == (0.5, True)


@pytest.mark.parametrize(
    ("order_id", "error", "says"),
    [
        (None, TypeError, "id must be text, not None"),
        (5, TypeError, "not 5"),
        (["a"], TypeError, "not ['a']"),
        ("", ValueError, "id must be printable text, not ''"),
        ("\ud800", ValueError, "not '\\ud800'"),
    ],
)
def test_an_order_id_is_printable_text(order_id, error, says):
    with pytest.raises(error, match=re.escape(says)):
        Order("Margherita", "12 Main St", id=order_id)


def test_only_the_way_to_the_courier_can_be_cancelled():
    early = {state for state in OrderState if state.can_be_cancelled}
    assert early == {
        OrderState.RECEIVED,
        OrderState.PAYING,
        OrderState.WAITING,
        OrderState.COOKING,
        OrderState.READY,
    }
    assert MOVES[OrderState.HANDED_OVER] == {OrderState.COMPLETED}
