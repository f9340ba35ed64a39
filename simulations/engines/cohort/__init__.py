"""Engine `cohort`: all devices' heads of a round trained together, block by block, no messages.

`clients` holds all devices' clips in one array and cuts it into padded blocks; `inputs`
standardises a block as each device would; `logistic` and `attention` train all heads of a block
as one batched tensor program; `rounds` sums what the devices would have sent; `fleet` is what the
server asks in place of a Grid; `run` is the engine. Objective, heads, standardisation, sampling
and aggregation are the same functions as everywhere, and what they say of one device holds here
for each. There is no wire, so there is no gate, no ledger and no byte that was transmitted.
"""
