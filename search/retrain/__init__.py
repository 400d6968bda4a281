"""The best configurations of a search, trained with several seeds; the winner tested once and registered."""
