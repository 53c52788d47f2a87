"""The open benchmark: what the marts say of a simulated company, beside what is true of it.

Flow: `voronka demo` writes the truth (`world.save_truth`) beside the raw data -> `companies` runs
    the pipeline on several companies -> `judging` asks the marts, the naive ways of peers and the
    truth -> `scoring` compares -> `report` prints. Only this package reads the truth.
"""
