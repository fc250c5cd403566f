"""Entropy coding of a compressed field with integer tables, chosen by integer context.

activity   what is decoded around a symbol --integer network--> its activity, a whole number
tables     activity --> which table, and how many low bits go plainly
coding     symbols <-> bytes, with the tables and a range coder

Whatever chooses a table is arithmetic on whole numbers that the decoder already has, and the
tables and the network's weights are whole numbers too: a stream decodes to the same symbols on
every machine, device, batch size and number of threads.
"""
