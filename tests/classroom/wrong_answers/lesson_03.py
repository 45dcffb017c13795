WASH_RAISES = """
def wash(plates, scrub, token):
    clean = []
    for plate in plates:
        token.throw_if_cancellation_requested()
        clean.append(scrub(plate))
    return clean
"""
WASH_LOOKS_ONCE = """
def wash(plates, scrub, token):
    if token.is_cancellation_requested:
        return []
    return [scrub(plate) for plate in plates]
"""
WASH_LOOKS_AT_THE_TRUTH = """
def wash(plates, scrub, token):
    clean = []
    for plate in plates:
        if token:
            break
        clean.append(scrub(plate))
    return clean
"""
WASH_FORGETS = """
def wash(plates, scrub, token):
    clean = []
    for plate in plates:
        if token.is_cancellation_requested:
            return None
        clean.append(scrub(plate))
    return clean
"""

OVEN_ONLY_FOR_CANCELS = """
async def use_oven(oven, token):
    oven.turn_on()
    try:
        pizza = await oven.bake(token)
    except OperationCanceledError:
        oven.turn_off()
        oven.close_door()
        raise
    oven.turn_off()
    oven.close_door()
    return pizza
"""
OVEN_LOOKS_IN_THE_CLEANUP = """
async def use_oven(oven, token):
    oven.turn_on()
    try:
        return await oven.bake(token)
    finally:
        oven.turn_off()
        token.throw_if_cancellation_requested()
        oven.close_door()
"""
OVEN_SWALLOWS = """
async def use_oven(oven, token):
    oven.turn_on()
    try:
        return await oven.bake(token)
    except Exception:
        return None
    finally:
        oven.turn_off()
        oven.close_door()
"""

FLYERS_WITHOUT_WORDS = """
def send_flyers(streets, post, token):
    for street in streets:
        for house in street:
            if token.is_cancellation_requested:
                return
            post(house)
"""
FLYERS_AFTER_THE_POST = """
def send_flyers(streets, post, token):
    for street in streets:
        for house in street:
            post(house)
            token.throw_if_cancellation_requested()
"""
FLYERS_LEAVE_THE_STREET = """
def send_flyers(streets, post, token):
    for street in streets:
        for house in street:
            if token.is_cancellation_requested:
                break
            post(house)
"""

WRONG_ANSWERS = {
    "03_cooperation-1": [
        (WASH_RAISES, "0 clean plates are lost"),
        (WASH_LOOKS_ONCE, "it scrubbed 8 plates, not 3"),
        (WASH_LOOKS_AT_THE_TRUTH, "it should return 8 clean plates, but returned []"),
        (WASH_FORGETS, "it should return 0 clean plates, but returned None"),
    ],
    "03_cooperation-2": [
        (OVEN_ONLY_FOR_CANCELS, "with an oven that breaks, it did ['on']"),
        (OVEN_LOOKS_IN_THE_CLEANUP, "cancelled during the baking, it did ['on', 'off']"),
        (OVEN_SWALLOWS, "the error is to pass to the caller, but it returned None"),
    ],
    "03_cooperation-3": [
        (FLYERS_WITHOUT_WORDS, "its caller takes the flyers for posted"),
        (FLYERS_AFTER_THE_POST, "it posted 1 of 10 flyers, not 0. Look before you post."),
        (FLYERS_LEAVE_THE_STREET, "its caller takes the flyers for posted"),
    ],
}
