"""The counter of the first lesson, clicked by mouse and keyboard in a real JupyterLab."""

import re

import pytest

STOPPED_IN_PAYMENT = re.compile(r"Payment\s+stopped at [1-5] of 5")


class CounterOnPage:
    """The counter as a reader sees it."""

    def __init__(self, notebook, element):
        self.notebook = notebook
        self.page = notebook.page
        self.element = element
        self.place = element.locator("button.pizza-counter-place")
        self.cancel = element.locator("button.pizza-counter-cancel")
        self.cards = element.locator(".pizza-order")
        self.message = element.locator(".pizza-counter-message")

    def card(self, number):
        """The card of the order with this number."""
        return self.cards.filter(has_text=re.compile(rf"Order {number} · "))

    def order_numbers_as_seen(self):
        """From the top, line by line, from left to right."""
        return self.element.evaluate(
            """counter => [...counter.querySelectorAll('.pizza-order')]
                .map(card => [card.getBoundingClientRect(), card.querySelector('.pizza-order-title').innerText])
                .sort(([a], [b]) => a.top - b.top || a.left - b.left)
                .map(([_, title]) => Number(title.match(/Order (\\d+)/)[1]))"""
        )

    def choose(self, name, option):
        self.element.locator(f".pizza-counter-{name} select").select_option(option)


@pytest.fixture(scope="module")
def lesson(open_notebook):
    lesson = open_notebook("00_start_here")
    lesson.start_all()
    lesson.wait()
    return lesson


@pytest.fixture
def counter(lesson, expect):
    """A fresh counter: its cell is run again."""
    lesson.page.set_viewport_size({"width": 1280, "height": 900})
    lesson.run_cell(0)
    element = lesson.output(0).locator(".pizza-counter")
    expect(element).to_have_count(1)
    counter = CounterOnPage(lesson, element)
    expect(counter.cards).to_have_count(0)
    return counter


@pytest.fixture(scope="module")
def expect():
    from playwright.sync_api import expect

    expect.set_options(timeout=20_000)
    return expect


def shows(expect, card, status):
    expect(card.locator(".pizza-order-status")).to_contain_text(status)


def test_a_cancel_during_the_payment_leaves_nothing_charged_and_the_kitchen_cold(counter, expect):
    counter.element.evaluate(
        """counter => {  // note every text that the payment shows
            window.payment = new Set();
            new MutationObserver(() => {
                const shown = counter.querySelector('.pizza-order-payment');
                if (shown?.innerText) payment.add(shown.innerText.trim());
            }).observe(counter, {childList: true, subtree: true, characterData: true});
        }"""
    )
    counter.place.click()
    card = counter.card(1)
    shows(expect, card, "Paying")
    expect(card.locator(".pizza-order-payment")).to_have_text(re.compile("Payment [2-5] of 5"))
    seen = [text for text in counter.page.evaluate("[...payment]") if "of 5" in text]
    assert seen == [f"Payment {step} of 5" for step in range(1, len(seen) + 1)]
    assert len(seen) > 1
    counter.notebook.screenshot("paying")
    counter.cancel.click()
    shows(expect, card, "Cancelled")
    expect(card.locator(".pizza-order-payment")).to_have_text(STOPPED_IN_PAYMENT)
    expect(card.locator(".pizza-order-kitchen")).to_contain_text("Kitchen never started")
    receipt = card.locator(".pizza-order-receipt")
    expect(receipt).to_contain_text("Nothing was charged. The kitchen never started, and the oven is free.")
    expect(receipt).to_contain_text("Charged€0.00")
    expect(card.locator(".pizza-order-log")).to_contain_text("🚫 Order cancelled by user.")
    expect(card.locator(".pizza-order-cancel")).to_be_hidden()
    counter.notebook.screenshot("cancelled")


def test_from_the_click_on_cancel_to_the_word_on_screen_it_takes_less_than_300_ms(counter, expect):
    counter.place.click()
    expect(counter.card(1).locator(".pizza-order-payment")).to_contain_text("1 of 5")
    milliseconds = counter.element.evaluate(
        """counter => new Promise((resolve, reject) => {
            const status = counter.querySelector('.pizza-order-status');
            const observer = new MutationObserver(() => {
                if (status.textContent.includes('Cancelled'))
                    requestAnimationFrame(() => resolve(performance.now() - clicked));
            });
            observer.observe(status, {childList: true, subtree: true, characterData: true});
            setTimeout(() => reject(new Error('not cancelled within 5 s')), 5000);
            const clicked = performance.now();
            counter.querySelector('button.pizza-counter-cancel').click();
        })"""
    )
    print(f"{milliseconds:.0f} ms from the click to the word")
    assert milliseconds < 300


def test_an_order_that_nobody_cancels_completes(counter, expect):
    counter.choose("pace", "twice as fast")
    counter.place.click()
    card = counter.card(1)
    for status in ("Paying", "Cooking", "Completed"):
        shows(expect, card, status)
    expect(card.locator(".pizza-order-payment")).to_contain_text("Payment done")
    expect(card.locator(".pizza-order-kitchen")).to_contain_text("Kitchen done")
    expect(card.locator(".pizza-order-receipt")).to_contain_text("€9.50 charged, the meal cooked, the message sent.")
    counter.cancel.click()
    expect(counter.message).to_contain_text("There is no order to cancel")
    shows(expect, card, "Completed")


def test_an_order_is_placed_and_cancelled_by_keyboard_alone(counter, expect):
    counter.notebook.run_python("counter._shop.pace = 10")  # finding the way with Tab takes its time on a busy machine
    keyboard = counter.page.keyboard
    number_of_cells = len(counter.notebook.cells())

    def tab_to(css_class):
        for _ in range(60):
            if counter.page.evaluate("name => document.activeElement.closest(`.${name}`) !== null", css_class):
                return
            keyboard.press("Tab")
        raise AssertionError(f"60 times Tab do not lead to .{css_class}")

    counter.page.locator(".jp-CodeCell").first.focus()
    tab_to("pizza-counter-address")
    keyboard.press("Control+a")
    keyboard.type("7 Baddxm Alley")
    tab_to("pizza-counter-place")
    keyboard.press("Enter")
    shows(expect, counter.card(1), "Paying")
    expect(counter.card(1)).to_contain_text("7 Baddxm Alley")
    tab_to("pizza-counter-cancel")
    keyboard.press("Space")
    shows(expect, counter.card(1), "Cancelled")
    assert len(counter.notebook.cells()) == number_of_cells  # letters that are commands of JupyterLab did nothing

    keyboard.press("Shift+Tab")
    keyboard.press("Space")
    shows(expect, counter.card(2), "Paying")
    tab_to("pizza-order-cancel")  # a card's own button
    keyboard.press("Enter")
    shows(expect, counter.card(2), "Cancelled")


def test_the_keyboard_stays_where_it_is_when_another_order_comes(counter, expect):
    counter.place.click()
    counter.card(1).locator(".pizza-order-cancel").focus()
    counter.notebook.run_python("counter.place.click()")
    shows(expect, counter.card(2), "Paying")
    counter.page.keyboard.press("Enter")
    shows(expect, counter.card(1), "Cancelled")


def test_of_two_orders_the_cancelled_one_stops_and_the_other_completes(counter, expect):
    counter.choose("pace", "twice as fast")
    counter.place.click()
    counter.choose("pizza", "Diavola  €11.50")
    counter.place.click()
    shows(expect, counter.card(2), "Paying")
    counter.card(1).locator(".pizza-order-cancel").click()
    shows(expect, counter.card(1), "Cancelled")
    shows(expect, counter.card(2), "Completed")
    expect(counter.card(1)).to_contain_text("Margherita")
    expect(counter.card(2)).to_contain_text("Diavola")
    shows(expect, counter.card(1), "Cancelled")


def test_of_ten_orders_five_are_cancelled_while_they_run_and_no_card_is_mixed_up(counter, expect):
    counter.page.evaluate(
        """() => {  // how long the page could do nothing else
            window.longest = 0;
            let last = performance.now();
            window.beat = setInterval(() => {
                const now = performance.now();
                window.longest = Math.max(window.longest, now - last);
                last = now;
            }, 20);
        }"""
    )
    counter.choose("pace", "twice as fast")
    address = counter.element.locator(".pizza-counter-address input")
    for number in range(1, 11):
        address.fill(f"{number}00 Main St")
        counter.place.click()
        expect(counter.cards).to_have_count(number)
        if number % 2:
            counter.card(number).locator(".pizza-order-cancel").click()
    for number in range(1, 11):
        card = counter.card(number)
        shows(expect, card, "Cancelled" if number % 2 else "Completed")
        expect(card.locator(".pizza-order-title")).to_contain_text(f"{number}00 Main St")
        money = r"Charged€(\d\.\d\d)Refunded€\1" if number % 2 else r"Charged€9\.50Refunded€0\.00"
        expect(card.locator(".pizza-order-receipt")).to_contain_text(re.compile(money))
    assert counter.order_numbers_as_seen() == list(range(1, 11))
    counter.page.set_viewport_size({"width": 1280, "height": 2200})
    counter.notebook.screenshot("ten-orders", counter.element)
    assert counter.page.evaluate("clearInterval(window.beat), window.longest") < 1000


def test_an_address_is_shown_as_typed_and_never_run(counter, expect):
    address = "<img src=x onerror=alert(1)>"
    counter.element.locator(".pizza-counter-address input").fill(address)
    counter.place.click()
    expect(counter.card(1).locator(".pizza-order-title")).to_contain_text(address)
    shows(expect, counter.card(1), "Paying")
    counter.cancel.click()
    shows(expect, counter.card(1), "Cancelled")
    assert counter.element.locator("img").count() == 0
    assert counter.notebook.dialogs == []


def test_an_address_typed_just_before_the_click_counts_also_with_a_kernel_far_away(counter, expect):
    counter.notebook.put_kernel_at_a_distance(300)
    try:
        counter.element.locator(".pizza-counter-address input").click()
        counter.page.keyboard.press("Control+a")
        counter.page.keyboard.type("7 Side Alley")
        counter.place.click()
        shows(expect, counter.card(1), "Paying")
        expect(counter.card(1).locator(".pizza-order-title")).to_have_text("Order 1 · Margherita · 7 Side Alley")
        counter.cancel.click()
        shows(expect, counter.card(1), "Cancelled")
    finally:
        counter.page.wait_for_timeout(300)  # what is under way comes in its order
        counter.notebook.put_kernel_at_a_distance(0)


@pytest.mark.parametrize(
    ("address", "says"), [("", "No order was made"), ("x" * 300, "No order was made")], ids=["empty", "over-long"]
)
def test_a_bad_address_gives_a_message_and_no_order(counter, expect, address, says):
    counter.element.locator(".pizza-counter-address input").fill(address)
    counter.place.click()
    expect(counter.message).to_contain_text(says)
    expect(counter.cards).to_have_count(0)


def test_running_the_cell_again_leaves_one_counter_that_answers_once_and_cancels_the_old_orders(counter, expect):
    counter.notebook.run_python("old = counter")
    counter.place.click()
    shows(expect, counter.card(1), "Paying")
    counter.notebook.run_cell(0)
    expect(counter.element).to_have_count(1)
    expect(counter.cards).to_have_count(0)
    counter.place.click()
    shows(expect, counter.card(1), "Paying")
    expect(counter.cards).to_have_count(1)
    assert counter.notebook.run_python("[card.status for card in old.orders]") == "['Cancelled']"
    assert counter.notebook.run_python("[card.status for card in counter.orders]") == "['Paying']"


def test_nobody_listens_where_the_switch_is_off(counter, expect):
    counter.element.locator(".pizza-counter-heeds input").uncheck()
    counter.choose("pace", "ten times as fast")
    counter.place.click()
    counter.card(1).locator(".pizza-order-cancel").click()
    shows(expect, counter.card(1), "Completed")
    expect(counter.card(1).locator(".pizza-order-receipt")).to_contain_text("You cancelled, and yet")


def test_what_happens_is_announced_to_screen_readers(counter, expect):
    status = counter.element.get_by_role("status")
    counter.place.click()
    expect(status).to_have_text(re.compile("Order 1: Paying"))
    counter.cancel.click()
    expect(status).to_have_text("Order 1 is cancelled.")


def test_the_region_that_screen_readers_listen_to_stays_on_the_page_while_its_words_change(counter, expect):
    status = counter.element.get_by_role("status")
    expect(status).to_have_attribute("aria-live", "polite")
    region = status.element_handle()
    counter.place.click()
    expect(status).to_have_text(re.compile("Order 1: Paying"))
    counter.cancel.click()
    expect(status).to_have_text("Order 1 is cancelled.")
    assert region.evaluate("region => region.isConnected && region.textContent") == "Order 1 is cancelled."


def test_every_control_has_a_name_for_screen_readers(counter, expect):
    for role, name in [
        ("combobox", "Pizza"),
        ("textbox", "Address"),
        ("combobox", "Deadline"),
        ("combobox", "Pace"),
        ("checkbox", "Payment and kitchen heed the token"),
        ("button", "Place order"),
        ("button", "Cancel order"),
        ("button", "Close the kitchen"),
        ("button", "Show timeline"),
    ]:
        expect(counter.element.get_by_role(role, name=name)).to_be_visible()


def test_a_cancel_is_heard_while_another_cell_awaits(counter, expect):
    if int(counter.notebook.run_python("__import__('ipykernel').version_info[0]")) < 7:
        pytest.skip("before ipykernel 7 every click waits for the end of the cell")
    counter.place.click()
    shows(expect, counter.card(1), "Paying")
    counter.notebook.start_python("receipts = await counter.finished()")
    counter.cancel.click()
    shows(expect, counter.card(1), "Cancelled")
    assert counter.notebook.run_python("str(receipts[0].status)") == "'cancelled'"


def test_what_is_typed_and_chosen_while_another_cell_awaits_counts_and_so_does_what_comes_later(counter, expect):
    address = counter.element.locator(".pizza-counter-address input")
    counter.notebook.start_python("await asyncio.sleep(2)")
    address.fill("1 Early St")
    address.press("Tab")
    counter.choose("pizza", "Diavola  €11.50")
    counter.notebook.run_python("'waited'")
    address.fill("2 Late St")
    counter.choose("pizza", "Funghi  €10.50")
    counter.place.click()
    expect(counter.card(1).locator(".pizza-order-title")).to_have_text("Order 1 · Funghi · 2 Late St")


def test_closing_the_kitchen_cancels_all_and_takes_no_more(counter, expect):
    for _ in range(3):
        counter.place.click()
    shows(expect, counter.card(3), "Paying")
    counter.element.locator("button.pizza-counter-close").click()
    for number in (1, 2, 3):
        shows(expect, counter.card(number), "Cancelled")
    counter.place.click()
    expect(counter.message).to_contain_text("the kitchen is closed")
    expect(counter.cards).to_have_count(3)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 600])
def test_the_counter_fits_the_page(counter, expect, theme, width):
    counter.notebook.theme(theme)
    counter.page.set_viewport_size({"width": width, "height": 1400})
    counter.choose("pace", "twice as fast")
    for _ in range(3):
        counter.place.click()
    shows(expect, counter.card(3), "Paying")
    counter.card(2).locator(".pizza-order-cancel").click()
    shows(expect, counter.card(2), "Cancelled")
    shows(expect, counter.card(3), "Cooking")
    counter.notebook.screenshot(f"counter-{width}-{theme}", counter.element)
    counter.notebook.theme("light")
    too_wide = counter.element.evaluate(
        """counter => [counter, ...counter.querySelectorAll('*')]
            .filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible'
                && e.clientWidth > 2 && !['INPUT', 'SELECT'].includes(e.tagName))
            .map(e => `${e.className}: ${e.scrollWidth} > ${e.clientWidth}`)"""
    )
    assert too_wide == []
