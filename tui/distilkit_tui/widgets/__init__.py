"""The table and the chart that stay fast with thousands of rows and points, and the small parts around them."""
